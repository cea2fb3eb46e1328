//! The formic binary.

fn main() -> std::process::ExitCode {
    formic_cli::main()
}
