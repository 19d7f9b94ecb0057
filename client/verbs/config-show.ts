/** `config show`: every setting as this process has it, secrets masked. */
import { connectionSettings } from '../../workers/config';
import { exit } from '../exit';
import { table, withoutPassword } from '../format';
import type { Call } from '../verb';

export async function configShow({ config, options, output }: Call): Promise<number> {
  const { address, namespace } = connectionSettings();
  const settings = config.settings.map(({ key, shown, origin, about }) => ({
    key,
    value: masked(shown),
    origin,
    about,
  }));
  const credentials = Object.entries(config.credentials).map(([name, { token, caFile }]) => ({
    key: `audio.credentials.${name}`,
    value: [
      ...(token === undefined ? [] : ['token ********']),
      ...(caFile === undefined ? [] : [`ca_file ${caFile}`]),
    ].join(', '),
    origin: name === 'env' ? 'environment' : (config.file ?? ''),
    about: 'How to be let in by a sender.',
  }));
  const all = [...settings, ...credentials];
  const rows = all.map(({ key, value, origin }) => [
    key,
    typeof value === 'string' ? value || '""' : JSON.stringify(value),
    ...(options['origin'] === true ? [origin] : []),
  ]);
  output.answer({ file: config.file, temporal: { address, namespace }, settings: all }, table(rows));
  output.say(`file: ${config.file ?? 'none'}; Temporal: ${address}, namespace ${namespace}`);
  return exit.ok;
}

const masked = (value: unknown): unknown => (typeof value === 'string' ? withoutPassword(value) : value);
