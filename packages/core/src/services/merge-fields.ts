import { canonicalJson } from '../ledger/canonical-json.ts';
import type { JsonObject, JsonValue } from '../domain/json.ts';

/** How a change that was decided on an older version meets the current one. */
export interface FieldMerge {
  /** Fields that both sides changed, to different values. */
  readonly conflicting: readonly string[];
  /** Fields that only the other side changed; they are kept. */
  readonly kept: readonly string[];
}

/**
 * Three-way merge, field by field.
 *
 * @param base the fields as the caller saw them
 * @param current the fields as they are
 * @param change the fields that the caller sets, with their new values
 */
export function mergeFields(base: JsonObject, current: JsonObject, change: JsonObject): FieldMerge {
  const set = Object.keys(change).filter((field) => change[field] !== undefined);
  const moved = (field: string): boolean => !same(base[field], current[field]);
  const conflicting = set.filter((field) => moved(field) && !same(current[field], change[field]));
  return {
    conflicting,
    kept: Object.keys(current).filter((field) => moved(field) && !set.includes(field)),
  };
}

function same(a: JsonValue | undefined, b: JsonValue | undefined): boolean {
  return canonicalJson(a ?? null) === canonicalJson(b ?? null);
}
