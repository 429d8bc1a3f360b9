//! The exit code, and nothing else; a build for the tests shows the fault of the museum that it is asked for.

fn main() -> std::process::ExitCode {
    #[cfg(feature = "museum")]
    if let Ok(exhibit) = std::env::var("SCHOOLGATE_MUSEUM")
        && !schoolgate::museum::show_everywhere(&exhibit)
    {
        return std::process::ExitCode::FAILURE;
    }
    schoolgate::cli::run()
}
