import type { JsonObject } from '@opencode-tools/core';
import { configurationKeyNames, configurationKeys, environmentVariable } from './keys.ts';

/** The JSON Schema (draft 2020-12) of `opencode-tools.yaml`, from the table of keys. */
export function configurationSchema(): JsonObject {
  const properties: Record<string, unknown> = {};
  for (const name of configurationKeyNames) {
    const [group = '', inner] = name.split('.');
    if (inner === undefined) properties[group] = describe(name);
    else membersOf(properties, group)[inner] = describe(name);
  }
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'opencode-tools.yaml',
    type: 'object',
    additionalProperties: false,
    properties: properties as JsonObject,
  };
}

function membersOf(properties: Record<string, unknown>, group: string): Record<string, unknown> {
  properties[group] ??= { type: 'object', additionalProperties: false, properties: {} };
  return (properties[group] as { readonly properties: Record<string, unknown> }).properties;
}

function describe(name: (typeof configurationKeyNames)[number]): JsonObject {
  const { kind, fallback, description, ...more } = configurationKeys[name];
  const place = 'userOnly' in more ? " Not in a project's file." : '';
  return {
    description: `${description} Accepts ${kind.accepted}. Environment: ${environmentVariable(name)}.${place}`,
    ...(fallback === null ? {} : { default: fallback }),
    ...kind.schema,
  };
}
