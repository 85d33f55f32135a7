import type { JsonObject, JsonValue } from '@opencode-tools/core';
import type { StandardSchemaWithJSON } from '@modelcontextprotocol/server';
import * as z from 'zod/v4';
import type { Tool } from './tool.ts';

type AnyObject = Record<string, unknown>;

/** JSON Schema of a tool's arguments, without what clients do not need. */
export function inputJsonSchema(tool: Tool): JsonObject {
  return plainSchema(tool.input, 'input');
}

/** The same with every bound, for people. */
export function fullInputJsonSchema(tool: Tool): JsonObject {
  const override = ({ jsonSchema }: { readonly jsonSchema: Record<string, unknown> }): void => {
    delete jsonSchema['unlisted'];
  };
  return z.toJSONSchema(tool.input, { io: 'input', override }) as JsonObject;
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

/**
 * Lengths, ranges, forms and the refusal of unknown names are checked all the same, and an error says them; listing them costs a
 * model tokens on every turn.
 */
const unlisted = [
  '$schema',
  'format',
  'maximum',
  'maxItems',
  'maxLength',
  'minimum',
  'minItems',
  'minLength',
  'pattern',
  'propertyNames',
];

function withoutBounds(value: unknown): JsonValue {
  if (Array.isArray(value)) return value.map(withoutBounds);
  if (value === null || typeof value !== 'object') return value as JsonValue;
  const members = Object.entries(value).filter(([key, member]) => !(unlisted.includes(key) || isRefusal(key, member)));
  return withoutTwins(
    Object.fromEntries(
      members.map(([key, member]) => [key, key === 'properties' ? eachProperty(member) : withoutBounds(member)]),
    ),
  );
}

/** Names of properties are not keywords: a `pattern` to search for stays. */
function eachProperty(properties: unknown): JsonObject {
  return Object.fromEntries(
    Object.entries(properties as JsonObject)
      .filter(([, schema]) => !(schema as JsonObject)['unlisted'])
      .map(([name, schema]) => [name, withoutBounds(schema)]),
  );
}

function isRefusal(key: string, member: unknown): boolean {
  return key === 'additionalProperties' && member === false;
}

/** Alternatives that only differed in what is not listed are one. */
function withoutTwins({ anyOf, ...schema }: JsonObject): JsonObject {
  if (!Array.isArray(anyOf)) return anyOf === undefined ? schema : { ...schema, anyOf };
  const [first, ...others] = anyOf;
  const same = others.every((other) => JSON.stringify(other) === JSON.stringify(first));
  return same ? { ...schema, ...(first as JsonObject) } : { ...schema, anyOf };
}
