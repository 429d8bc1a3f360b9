//! The exit code, and nothing else.

fn main() -> std::process::ExitCode {
    schoolgate::cli::run()
}
