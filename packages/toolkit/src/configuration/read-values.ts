import type { Environment } from './environment.ts';
import { refusedForm, refusedPlace, refusedValue, unknownKey } from './invalid-config.ts';
import {
  type ConfigurationKey,
  type ConfigurationValues,
  configurationKeyNames,
  configurationKeys,
  environmentVariable,
} from './keys.ts';
import type { ValueKind } from './value-kind.ts';

export type PartialValues = Partial<ConfigurationValues>;

const groups = new Set(
  configurationKeyNames.filter((name) => name.includes('.')).map((name) => name.split('.')[0] ?? ''),
);

/** A configuration file: where it is, and for one that came with a project, where keys may stand that it may not have. */
export interface ConfigurationSource {
  readonly file: string;
  /** The user's own file; null when this one is the user's, or was named by the user. */
  readonly userOnlyIn: string | null;
}

/**
 * Reads the values of a parsed configuration file.
 *
 * @throws OpencodeToolsError `OCT_INVALID_CONFIG` at the first key that is unknown, not for this file, or has a value of
 *   another form
 */
export function readDocument(place: ConfigurationSource, document: unknown): PartialValues {
  const { file: source } = place;
  if (document === null || document === undefined) return {};
  const found: Record<string, unknown> = {};
  for (const [name, value] of entriesOf(source, '', document)) {
    if (groups.has(name)) {
      if (value === null) continue;
      for (const [inner, innerValue] of entriesOf(source, name, value)) {
        readKey(place, `${name}.${inner}`, innerValue, found);
      }
    } else readKey(place, name, value, found);
  }
  return found;
}

/**
 * Reads the values that environment variables set. An empty variable counts as unset.
 *
 * @throws OpencodeToolsError `OCT_INVALID_CONFIG` naming the variable
 */
export function readEnvironment(environment: Environment): PartialValues {
  const found: Record<string, unknown> = {};
  for (const key of configurationKeyNames) {
    const variable = environmentVariable(key);
    const text = environment[variable];
    // The home is a path of the caller's shell, which may be relative; `resolveHome` reads it.
    if (text === undefined || text === '' || key === 'home') continue;
    const kind: ValueKind<unknown> = configurationKeys[key].kind;
    const value = kind.parse(kind.fromText(text));
    if (value === undefined) throw refusedValue(`environment variable ${variable}`, key, text);
    found[key] = value;
  }
  return found;
}

/** The values of all keys that nobody sets. */
export function defaultValues(): ConfigurationValues {
  const entries = configurationKeyNames.map((key) => [key, configurationKeys[key].fallback]);
  return Object.fromEntries(entries) as ConfigurationValues;
}

function readKey(place: ConfigurationSource, name: string, value: unknown, found: Record<string, unknown>): void {
  const { file: source, userOnlyIn } = place;
  if (!isKey(name)) throw unknownKey(source, name);
  if (userOnlyIn !== null && 'userOnly' in configurationKeys[name]) throw refusedPlace(source, name, userOnlyIn);
  const kind: ValueKind<unknown> = configurationKeys[name].kind;
  const parsed = kind.parse(value);
  if (parsed === undefined) throw refusedValue(source, name, value);
  found[name] = parsed;
}

function isKey(name: string): name is ConfigurationKey {
  return Object.hasOwn(configurationKeys, name);
}

function entriesOf(source: string, key: string, value: unknown): readonly (readonly [string, unknown])[] {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return Object.entries(value);
  const subject = key === '' ? 'the file holds no keys' : `${key} holds no keys`;
  throw refusedForm(source, key, 'keys with values, such as "defaultImage: opencode-sandbox-base"', subject);
}
