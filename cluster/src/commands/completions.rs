//! `holdfast completions SHELL`: for packages, and for whoever installs the program by hand.

use clap::CommandFactory as _;

use crate::{
    cli::{Cli, CompletionsArgs},
    supervisor::say,
};

/// The program's name, that the shell completes for.
const PROGRAM: &str = "holdfast";

/// Prints the shell's script.
pub(crate) fn completions(args: &CompletionsArgs) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), PROGRAM, &mut script);
    say(String::from_utf8_lossy(&script).trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_gets_a_script_with_every_command() {
        for shell in [
            clap_complete::Shell::Bash,
            clap_complete::Shell::Zsh,
            clap_complete::Shell::Fish,
        ] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), PROGRAM, &mut script);
            let script = String::from_utf8(script).expect("UTF-8");
            for command in Cli::command()
                .get_subcommands()
                .filter(|c| !c.is_hide_set())
            {
                assert!(
                    script.contains(command.get_name()),
                    "{shell}: no {}",
                    command.get_name()
                );
            }
        }
    }
}
