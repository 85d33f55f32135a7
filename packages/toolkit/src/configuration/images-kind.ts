import { isAbsolute } from 'node:path';
import { isList, isRecord, jsonOr } from './policies-kind.ts';
import type { ValueKind } from './value-kind.ts';

/** What an image that the configuration names is made of: a base, or a directory with a Dockerfile; then setup steps. */
export interface ConfiguredImage {
  readonly base?: string;
  /** Absolute, or from the home directory of the user by `~/`. */
  readonly context?: string;
  /** Path of the Dockerfile in the context. */
  readonly dockerfile?: string;
  readonly setup: readonly string[];
}

export type ConfiguredImages = Readonly<Record<string, ConfiguredImage>>;

const nameForm = /^(?!opencode-sandbox-)[a-z0-9]+(?:[._/-][a-z0-9]+)*$/;
const texts = { type: 'array', items: { type: 'string', minLength: 1 } } as const;
const recipe = {
  type: 'object',
  properties: { base: { type: 'string' }, context: { type: 'string' }, dockerfile: { type: 'string' }, setup: texts },
  additionalProperties: false,
} as const;
const members = Object.keys(recipe.properties);

/** `images`: what each name is made of. A base alone may be written as its reference. */
export function images(): ValueKind<ConfiguredImages> {
  return {
    accepted:
      'names in lower case, each with a reference, or with {base} or {context, dockerfile} and setup, a list of scripts; a context is an absolute path, or begins with ~/',
    schema: {
      type: 'object',
      propertyNames: { pattern: nameForm.source },
      additionalProperties: { anyOf: [{ type: 'string' }, recipe] },
    },
    parse: parseImages,
    fromText: jsonOr,
  };
}

function parseImages(value: unknown): ConfiguredImages | undefined {
  if (!isRecord(value)) return undefined;
  const found: [string, ConfiguredImage][] = [];
  for (const [name, given] of Object.entries(value)) {
    const image = parseImage(typeof given === 'string' ? { base: given } : given);
    if (!nameForm.test(name) || image === undefined) return undefined;
    found.push([name, image]);
  }
  return Object.fromEntries(found);
}

function parseImage(value: unknown): ConfiguredImage | undefined {
  if (!isRecord(value) || !Object.keys(value).every((key) => members.includes(key))) return undefined;
  const { base, context, dockerfile, setup = [] } = value;
  if (!isList(setup, 'string') || !setup.every((step) => String(step).trim() !== '')) return undefined;
  const steps = setup as readonly string[];
  if (typeof base === 'string') {
    return /^[^\s]{1,255}$/.test(base) && context === undefined && dockerfile === undefined
      ? { base, setup: steps }
      : undefined;
  }
  if (base !== undefined || typeof context !== 'string' || !(isAbsolute(context) || context.startsWith('~/')))
    return undefined;
  if (dockerfile === undefined) return { context, setup: steps };
  return typeof dockerfile === 'string' ? { context, dockerfile, setup: steps } : undefined;
}
