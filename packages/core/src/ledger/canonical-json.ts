import type { JsonValue } from '../domain/json.ts';
import { OpencodeToolsError } from '../errors/opencode-tools-error.ts';

/**
 * Serialises a value as RFC 8785 (JSON Canonicalization Scheme) says: no white space, object keys in order of UTF-16
 * code units, numbers and strings as ECMAScript prints them. Members that are `undefined` are left out.
 *
 * @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for numbers that JSON cannot hold and for lone surrogates.
 */
export function canonicalJson(value: JsonValue): string {
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'number') return canonicalNumber(value);
  if (typeof value === 'string') return canonicalString(value);
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item as JsonValue)).join(',')}]`;
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

function canonicalObject(value: { readonly [key: string]: JsonValue | undefined }): string {
  const members: string[] = [];
  for (const key of Object.keys(value).sort()) {
    const member = value[key];
    if (member !== undefined) members.push(`${canonicalString(key)}:${canonicalJson(member)}`);
  }
  return `{${members.join(',')}}`;
}
