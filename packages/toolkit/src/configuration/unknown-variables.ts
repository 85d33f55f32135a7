import { nearestName } from '@opencode-tools/core';
import type { Environment } from './environment.ts';
import { type ConfigurationValues, configurationKeyNames, environmentVariable } from './keys.ts';

const prefix = 'OPENCODE_TOOLS_';
/** What programs of ours read beside the keys of the configuration, by what follows the prefix. */
const others = ['SESSION', 'DEBUG', 'NO_ENGINE_SETUP', 'SEED', 'SOAK', 'SOAK_ROUNDS', 'RUN_ARGUMENTS'];

const variables = new Map<string, string>([
  ...configurationKeyNames.map((name) => [name, environmentVariable(name)] as const),
  ...others.map((name) => [name, prefix + name] as const),
]);

/** What whoever wrote the configuration should know although all of it can be read. */
export interface ConfigurationNotice {
  readonly message: string;
  readonly remedy: string;
  /** False when it may well be as they want it. */
  readonly likely: boolean;
}

/**
 * Tells of variables that begin as ours and are none. They are no error, unlike keys of a file: the environment is everybody's, and a newer
 * version may know them.
 */
export function unknownVariables(
  environment: Environment,
  values: ConfigurationValues,
): readonly ConfigurationNotice[] {
  const known = new Set([...variables.values(), ...referredTo(values)]);
  return Object.entries(environment)
    .filter(([name, value]) => name.startsWith(prefix) && value !== undefined && value !== '' && !known.has(name))
    .map(([name]) => noticeOf(name))
    .toSorted((one, other) => one.message.localeCompare(other.message));
}

function noticeOf(name: string): ConfigurationNotice {
  const near = nearestName(name.slice(prefix.length), [...variables.keys()]);
  const meant = near === undefined ? undefined : variables.get(near);
  return {
    message: `The environment variable ${name} is not known, and counts for nothing`,
    remedy:
      meant === undefined
        ? 'Unset it, or name it after a key of the configuration: limits.memory is OPENCODE_TOOLS_LIMITS_MEMORY.'
        : `Did you mean ${meant}?`,
    likely: meant !== undefined,
  };
}

/** Variables whose names the user chose. */
function referredTo({ database, secrets }: ConfigurationValues): readonly string[] {
  const named = Object.values(secrets).flatMap((source) => (source.from === 'env' ? [source.variable] : []));
  return database.startsWith('env:') ? [...named, database.slice('env:'.length)] : named;
}
