//! `formic sim`: seeded simulations of whole meshes, the engine of the project's own campaigns.

use formic_campaign::{Kinds, Options, Profile};

use crate::{
    args::SimArgs,
    exit::{Exit, Stop},
    output,
};

pub(crate) fn run(args: &SimArgs) -> Result<Exit, Stop> {
    let mut options = Options::new(Profile::Node);
    (options.seeds, options.first, options.json) = (args.seeds, args.first, args.json);
    options.kinds = Kinds::parse(&args.faults)
        .map_err(|why| Stop::usage(format!("`--faults {}`: {why}", args.faults)))?;
    if args.first.checked_add(args.seeds).is_none() {
        return Err(Stop::usage("`--first` plus `--seeds` is above the largest seed".to_owned()));
    }
    let outcome = formic_campaign::run(&options);
    if args.json {
        output::data(&format!("{:#}\n", formic_campaign::json(&options, &outcome)));
    } else {
        output::data(&format!("{}\n", formic_campaign::text(&options, &outcome)));
    }
    Ok(if outcome.holds() { Exit::Ok } else { Exit::TaskFailed })
}
