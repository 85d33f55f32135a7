import type { JsonObject, JsonValue } from '@opencode-tools/core';
import type { StandardSchemaWithJSON } from '@modelcontextprotocol/server';
import * as z from 'zod/v4';
import type { Tool } from './tool.ts';

type AnyObject = Record<string, unknown>;

/** JSON Schema of a tool's arguments, without what clients do not need. */
export function inputJsonSchema(tool: Tool): JsonObject {
  return plainSchema(tool.input, 'input');
}

/**
 * JSON Schema of what a tool gives back. It also admits the JSON form of an error: clients of the 1.x line check structured
 * content against this schema even when the result is marked as an error.
 */
export function outputJsonSchema(tool: Tool): JsonObject {
  const { additionalProperties: _open, required = [], ...schema } = plainSchema(tool.output, 'output');
  return { ...schema, anyOf: [{ required }, { required: ['code', 'message', 'remedy'] }] };
}

/**
 * Wraps a JSON Schema, made when it is asked for, for the SDK with a check that admits everything: arguments are checked where a tool is run, so that bad
 * ones get an error of ours with its remedy.
 */
export function advertise(schema: () => JsonObject): StandardSchemaWithJSON<AnyObject> {
  let made: JsonObject | undefined;
  const once = () => (made ??= schema());
  return {
    '~standard': {
      version: 1,
      vendor: 'opencode-tools',
      validate: (value) => ({ value: value as AnyObject }),
      jsonSchema: { input: once, output: once },
    },
  };
}

function plainSchema(schema: z.ZodObject, io: 'input' | 'output'): JsonObject {
  return withoutBounds(z.toJSONSchema(schema, { io })) as JsonObject;
}

/** Lengths and the like are checked all the same, and an error names them; listing them costs a model tokens on every turn. */
const unlisted = ['$schema', 'minLength', 'maxLength', 'minItems', 'maxItems', 'propertyNames'];

function withoutBounds(value: unknown): JsonValue {
  if (Array.isArray(value)) return value.map(withoutBounds);
  if (value === null || typeof value !== 'object') return value as JsonValue;
  const members = Object.entries(value).filter(
    ([key, member]) => !(unlisted.includes(key) || isSafeIntegerBound(member)),
  );
  return Object.fromEntries(members.map(([key, member]) => [key, withoutBounds(member)]));
}

function isSafeIntegerBound(value: unknown): boolean {
  return value === Number.MAX_SAFE_INTEGER || value === Number.MIN_SAFE_INTEGER;
}
