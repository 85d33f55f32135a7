import { OpencodeToolsError, nearestName } from '@opencode-tools/core';
import { type ConfigurationKey, configurationKeyNames, configurationKeys, environmentVariable } from './keys.ts';

/** Says that a value has not the accepted form; names where it stands, the key, and the form. */
export function refusedValue(source: string, key: ConfigurationKey, value: unknown): OpencodeToolsError {
  const { accepted, secret } = configurationKeys[key].kind as { readonly accepted: string; readonly secret?: boolean };
  const shown = secret === true ? 'the value' : (JSON.stringify(value) ?? String(value)).slice(0, 120);
  return new OpencodeToolsError('OCT_INVALID_CONFIG', `${source}: ${key} does not accept ${shown}`, {
    remedy: `Write ${key} as ${accepted}.`,
    details: { file: source, key, accepted },
  });
}

/** Says that a key stands in a project's file, which may not decide it. */
export function refusedPlace(source: string, key: ConfigurationKey, userFile: string): OpencodeToolsError {
  const variable = environmentVariable(key);
  return new OpencodeToolsError('OCT_INVALID_CONFIG', `${source}: ${key} is not for the file of a project`, {
    remedy: `Set ${key} in ${userFile}, or with the environment variable ${variable}.`,
    details: { file: source, key, accepted: `${userFile}, ${variable}` },
  });
}

/** Says that a key does not exist, and which one may have been meant. */
export function unknownKey(source: string, key: string): OpencodeToolsError {
  const near = nearestName(key, configurationKeyNames);
  const known = configurationKeyNames.join(', ');
  return new OpencodeToolsError(
    'OCT_INVALID_CONFIG',
    `${source}: there is no key ${JSON.stringify(key.slice(0, 120))}`,
    {
      remedy: `${near === undefined ? '' : `Did you mean ${near}? `}Keys are: ${known}.`,
      details: { file: source, key, accepted: known },
    },
  );
}

/** Says that a file as a whole, or a group of keys in it, has not the accepted form. */
export function refusedForm(source: string, key: string, accepted: string, fault: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_CONFIG', `${source}: ${fault}`, {
    remedy: `Write ${key === '' ? 'the file' : key} as ${accepted}.`,
    details: { file: source, key, accepted },
  });
}
