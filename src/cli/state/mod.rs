//! `pintail state`: cursors shown, set and forgotten.

mod change;
mod show;

pub(in crate::cli) use show::cursor_text;

use super::{Output, find_part};
use crate::config::{Loaded, Secrets, Settings, load_pipeline};
use crate::error::{Error, Kind, Result};
use crate::exit::Exit;
use crate::plan::model::Pipeline;
use crate::plan::suggest;
use clap::Subcommand;

/// Arguments of `state`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Clone, Subcommand)]
enum Action {
    /// Show the cursors
    Show(ShowArgs),
    /// Set the cursor of a resource, or of one of its partitions
    Set(SetArgs),
    /// Have cursors forgotten: the next run asks from the start
    Reset(ResetArgs),
}

#[derive(Debug, Clone, clap::Args)]
struct ShowArgs {
    /// A pipeline, or PIPELINE.RESOURCE for the cursors of its partitions
    #[arg(value_name = "PIPELINE[.RESOURCE]")]
    target: String,
    /// What to print
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: Output,
    /// Partitions to show
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: u64,
    /// Partitions to pass over first
    #[arg(long, default_value_t = 0, value_name = "N")]
    offset: u64,
}

#[derive(Debug, Clone, clap::Args)]
struct SetArgs {
    /// Whose cursor
    #[arg(value_name = "PIPELINE.RESOURCE")]
    target: String,
    /// The value, of the kind of the stored one: a time, a date, a number or a token
    #[arg(allow_hyphen_values = true)]
    value: String,
    /// The cursor of this partition, by its JSON as `state show` has it
    #[arg(long, value_name = "JSON")]
    partition: Option<String>,
    /// Don't ask
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Clone, clap::Args)]
struct ResetArgs {
    /// A pipeline, or one of its resources
    #[arg(value_name = "PIPELINE[.RESOURCE]")]
    target: String,
    /// Only the cursor of this partition, by its JSON as `state show` has it
    #[arg(long, value_name = "JSON")]
    partition: Option<String>,
    /// Don't ask
    #[arg(long)]
    yes: bool,
}

/// Carries out the command.
///
/// # Errors
/// The pipeline or resource is not there, the warehouse can't be read or written, or somebody else holds it.
pub fn run(args: &Args, settings: &Settings) -> Result<Exit> {
    match &args.action {
        Action::Show(args) => show::run(args, settings),
        Action::Set(args) => {
            let Target { pipeline, resource } = Target::find(settings, &args.target)?;
            let Some(resource) = resource else {
                let names: Vec<&str> = pipeline.resources.iter().map(|r| r.name.as_str()).collect();
                return Err(Error::new(Kind::Config, "`state set` sets the cursor of one resource")
                    .hint(format!("write PIPELINE.RESOURCE; resources are {}", suggest::list(&names))));
            };
            let place = change::Place { settings, pipeline: &pipeline, yes: args.yes };
            change::set(&place, &resource, &args.value, args.partition.as_deref())
        }
        Action::Reset(args) => {
            let Target { pipeline, resource } = Target::find(settings, &args.target)?;
            let place = change::Place { settings, pipeline: &pipeline, yes: args.yes };
            change::reset(&place, resource.as_deref(), args.partition.as_deref())
        }
    }
}

/// What a command is about.
struct Target {
    pipeline: Pipeline,
    /// As the command line has it.
    resource: Option<String>,
}

impl Target {
    fn find(settings: &Settings, text: &str) -> Result<Target> {
        let (path, resource) = find_part(settings, text)?;
        let Loaded { pipeline, .. } = load_pipeline(&path, &[], &settings.env, Secrets::Optional)?;
        Ok(Target { pipeline, resource })
    }
}

/// The error of a resource that neither the file nor the state has.
fn unknown_resource(pipeline: &Pipeline, name: &str) -> Error {
    let names: Vec<&str> = pipeline.resources.iter().map(|r| r.name.as_str()).collect();
    let error = Error::new(Kind::Config, format!("the pipeline `{}` has no resource `{name}`", pipeline.name));
    match suggest::did_you_mean(name, names.iter().copied()) {
        Some(near) => error.hint(near),
        None => error.hint(format!("resources are {}", suggest::list(&names))),
    }
}
