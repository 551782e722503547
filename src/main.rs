//! The `pintail` program: see the library.

fn main() -> std::process::ExitCode {
    pintail::cli::main().into()
}
