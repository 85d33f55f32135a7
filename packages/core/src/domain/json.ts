export type JsonPrimitive = string | number | boolean | null;
export type JsonValue = JsonPrimitive | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: JsonValue | undefined;
}

/** Views a record of ours, whose members are all JSON, as a JSON object. */
export function asJson(value: object): JsonObject {
  return value as JsonObject;
}
