import type { EnvReference, SecretSource } from '../domain/sandbox-spec.ts';
import type { Task } from '../domain/task.ts';
import type { CommandSecret, RunCommand } from './execution-contract.ts';
import type { Kernel } from './kernel.ts';
import { environment, environmentName, invalid, secretSource } from './validate.ts';

/** The values of secrets that one command gets. */
export interface ResolvedSecrets {
  readonly env: Readonly<Record<string, string>>;
  /** All that has to be hidden: a value of the task counts also where the command's own has its name. */
  readonly hidden: readonly Readonly<Record<string, string>>[];
  /** Those of `hidden` that the command itself has. */
  readonly had: readonly Readonly<Record<string, string>>[];
}

/** @throws OpencodeToolsError `OCT_INVALID_ARGUMENT`, never telling a value */
export function checkSecrets(
  { secrets = [], env = {}, shell }: Pick<RunCommand, 'secrets' | 'env' | 'shell'>,
  goesOn: boolean,
): readonly CommandSecret[] {
  const names = new Set(Object.keys(env));
  for (const secret of secrets) {
    if (names.has(environmentName(secret.name)))
      throw invalid('secrets', `names ${secret.name} twice`, 'Give each variable once, in `env` or in `secrets`.');
    names.add(secret.name);
    if (secret.from !== 'value') secretSource('secrets', secret);
    else environment({ [secret.name]: secret.value });
    if (secret.from === 'value' && goesOn)
      throw invalid(
        'secrets',
        `gives the value of ${secret.name} to a command in the background`,
        'Say where the value is: whichever process takes its output has to look it up.',
      );
  }
  if (secrets.length > 0 && shell !== undefined)
    throw invalid('secrets', 'is given with a shell', 'Leave it out: a shell keeps its variables for later commands.');
  return secrets;
}

/** Looks up the secrets of the task and those of one command, and what the gateway sets in headers: servers may say it. */
export async function resolveSecrets(
  kernel: Kernel,
  task: Task,
  secrets: readonly CommandSecret[],
): Promise<ResolvedSecrets> {
  const references = secrets.filter((secret): secret is EnvReference => secret.from !== 'value');
  const given = secrets.flatMap((secret) => (secret.from === 'value' ? [[secret.name, secret.value] as const] : []));
  const ofTask = await kernel.deps.secrets.resolve(task.sandboxSpec.env);
  const own = { ...(await kernel.deps.secrets.resolve(references)), ...Object.fromEntries(given) };
  const had = [ofTask, own];
  return { env: { ...ofTask, ...own }, hidden: [...had, ...(await kernel.deps.egress.injectedValues(task))], had };
}

/** See `ExecutionService.secretsNamed`. */
export function secretsNamed(
  configured: Readonly<Record<string, SecretSource>>,
  names: readonly string[],
): readonly EnvReference[] {
  return names.map((name) => {
    const source = Object.hasOwn(configured, name) ? configured[name] : undefined;
    if (source !== undefined) return { ...source, name };
    const known = Object.keys(configured).sort();
    throw invalid(
      'secrets',
      `${JSON.stringify(name.slice(0, 80))} is not configured`,
      known.length === 0
        ? 'Ask the user to name it under `secrets` in the user configuration.'
        : `Use one of ${known.slice(0, 50).join(', ')}.`,
    );
  });
}
