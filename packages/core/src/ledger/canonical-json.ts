import type { JsonValue } from '../domain/json.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';

/**
 * Serialises a value as RFC 8785 (JSON Canonicalization Scheme) says: no white space, object keys in order of UTF-16
 * code units, numbers and strings as ECMAScript prints them. Members that are `undefined` are left out.
 *
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for numbers that JSON cannot hold and for lone surrogates.
 */
export function canonicalJson(value: JsonValue): string {
  if (typeof value === 'string') return canonicalString(value);
  if (typeof value === 'number') return canonicalNumber(value);
  if (value === null || typeof value === 'boolean') return String(value);
  if (Array.isArray(value)) return canonicalArray(value as readonly JsonValue[]);
  return canonicalObject(value as { readonly [key: string]: JsonValue | undefined });
}

function canonicalNumber(value: number): string {
  if (Number.isFinite(value)) return JSON.stringify(value);
  throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `JSON cannot hold the number ${value}`);
}

function canonicalString(value: string): string {
  if (value.isWellFormed()) return JSON.stringify(value);
  throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', 'Text holds a lone surrogate and is not valid Unicode');
}

function canonicalArray(value: readonly JsonValue[]): string {
  let text = '[';
  for (const [index, item] of value.entries()) text += index === 0 ? canonicalJson(item) : `,${canonicalJson(item)}`;
  return `${text}]`;
}

function canonicalObject(value: { readonly [key: string]: JsonValue | undefined }): string {
  let text = '{';
  for (const key of sortedKeys(value)) {
    const member = value[key];
    if (member === undefined) continue;
    if (text.length > 1) text += ',';
    text += `${canonicalString(key)}:${canonicalJson(member)}`;
  }
  return `${text}}`;
}

/** Sorting is only paid where the keys are not in order yet. */
function sortedKeys(value: object): readonly string[] {
  const keys = Object.keys(value);
  for (let index = 1; index < keys.length; index += 1) {
    if ((keys[index - 1] as string) > (keys[index] as string)) return keys.sort();
  }
  return keys;
}
