/** `waybill completion bash|zsh|fish`: scripts by @bomb.sh/tab, which is loaded only for that and when a shell asks. */
import type { Command } from 'commander';

const example =
  '\nExamples:\n  source <(waybill completion bash)\n  waybill completion fish > ~/.config/fish/completions/waybill.fish';

/** Adds `completion`, and the hidden `complete` that the scripts call. */
export async function addCompletion(program: Command, [first]: readonly string[]): Promise<void> {
  if (first === 'completion' || first === 'complete') {
    const { default: tab } = await import('@bomb.sh/tab/commander');
    tab(program, { completionCommandName: 'completion' });
    const added = program.commands.find((command) => command.name() === 'completion');
    added?.addHelpText('after', example);
    return;
  }
  program.command('completion').argument('<shell>').description('Print a completion script for bash, zsh or fish.');
}
