//! Data on stdout, everything else on stderr.

use std::io::{self, Write as _};

/// Prints data. A reader that went away wants no more of it: that is no error.
pub(crate) fn data(text: &str) {
    let mut out = io::stdout().lock();
    let written = out
        .write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") });
    match written.and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            note(&format!("cannot write to stdout: {error}"));
        }
        _ => {}
    }
}

/// Tells the user something that is no data.
pub(crate) fn note(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}
