import { delimiter, isAbsolute } from 'node:path';
import type { JsonObject } from '@opencode-tools/core';

/** One form that a value of the configuration may take. */
export interface ValueKind<T> {
  /** Completes the sentence "Write <key> as …". */
  readonly accepted: string;
  /** The same as a JSON Schema, without description. */
  readonly schema: JsonObject;
  /** True when an offending value may hold a credential and is left out of messages. */
  readonly secret?: boolean;
  /** Reads a value as YAML gives it; undefined when it has not the accepted form. */
  parse(value: unknown): T | undefined;
  /** Turns the text of an environment variable into what YAML would have given. */
  fromText(text: string): unknown;
}

interface Range {
  readonly min: number;
  readonly max: number;
}

export function text(accepted: string, pattern: string): ValueKind<string> {
  const form = new RegExp(pattern);
  return {
    accepted,
    schema: { type: 'string', pattern },
    parse: (value) => (typeof value === 'string' && form.test(value) ? value : undefined),
    fromText: (given) => given,
  };
}

export function path(): ValueKind<string> {
  const accepted = 'an absolute path, or one that begins with ~/';
  return {
    accepted,
    schema: { type: 'string', minLength: 1 },
    parse: (value) => (typeof value === 'string' && (isAbsolute(value) || value.startsWith('~/')) ? value : undefined),
    fromText: (given) => given,
  };
}

/** A list; in an environment variable as in `PATH`. */
export function paths(): ValueKind<readonly string[]> {
  const one = path();
  return {
    accepted: `a list, each ${one.accepted}`,
    schema: { type: 'array', items: one.schema },
    parse: (value) => {
      const found = Array.isArray(value) ? value.map((item) => one.parse(item)) : [undefined];
      return found.includes(undefined) ? undefined : (found as readonly string[]);
    },
    fromText: (given) => given.split(delimiter),
  };
}

export function flag(): ValueKind<boolean> {
  return {
    accepted: 'true or false',
    schema: { type: 'boolean' },
    parse: (value) => (typeof value === 'boolean' ? value : undefined),
    fromText: (given) => ({ true: true, 1: true, false: false, 0: false })[given] ?? given,
  };
}

export function choice<const T extends string>(...values: readonly T[]): ValueKind<T> {
  return {
    accepted: values.join(' or '),
    schema: { enum: values },
    parse: (value) => values.find((known) => known === value),
    fromText: (given) => given,
  };
}

export function number({ min, max }: Range, { whole }: { readonly whole: boolean }): ValueKind<number> {
  return {
    accepted: `a ${whole ? 'whole ' : ''}number from ${min} to ${max}`,
    schema: { type: whole ? 'integer' : 'number', minimum: min, maximum: max },
    parse: (value) => {
      if (typeof value !== 'number' || !(value >= min && value <= max)) return undefined;
      return whole && !Number.isInteger(value) ? undefined : value;
    },
    fromText: (given) => (/^\d+(\.\d+)?$/.test(given) ? Number(given) : given),
  };
}

const byteUnits = { k: 1024, m: 1024 ** 2, g: 1024 ** 3 };
const durationUnits = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

export function byteSize(range: Range): ValueKind<number> {
  return measured(
    'a whole number of bytes, or a number with k, m or g such as 512m or 2g',
    byteUnits,
    range,
    showBytes,
  );
}

export function duration(range: Range): ValueKind<number> {
  return measured(
    'a whole number of milliseconds, or a number with ms, s, m or h such as 90s or 15m',
    durationUnits,
    range,
    (ms) => (ms % 1_000 === 0 ? `${ms / 1_000}s` : `${ms}ms`),
  );
}

function showBytes(bytes: number): string {
  if (bytes % byteUnits.g === 0) return `${bytes / byteUnits.g}g`;
  return bytes % byteUnits.m === 0 ? `${bytes / byteUnits.m}m` : `${bytes}`;
}

function measured(
  accepted: string,
  units: Readonly<Record<string, number>>,
  { min, max }: Range,
  show: (value: number) => string,
): ValueKind<number> {
  const pattern = `^\\d+(\\.\\d+)?(${Object.keys(units).join('|')})?$`;
  const form = new RegExp(pattern);
  return {
    accepted: `${accepted}; at least ${show(min)}, at most ${show(max)}`,
    schema: {
      anyOf: [
        { type: 'integer', minimum: min, maximum: max },
        { type: 'string', pattern },
      ],
    },
    parse: (value) => {
      const amount = typeof value === 'number' ? value : toAmount(value, form, units);
      return amount !== undefined && Number.isInteger(amount) && amount >= min && amount <= max ? amount : undefined;
    },
    fromText: (given) => given,
  };
}

function toAmount(value: unknown, form: RegExp, units: Readonly<Record<string, number>>): number | undefined {
  const match = typeof value === 'string' ? form.exec(value) : null;
  if (match === null) return undefined;
  const unit = match[2];
  const digits = unit === undefined ? match[0] : match[0].slice(0, -unit.length);
  return Math.round(Number(digits) * (unit === undefined ? 1 : (units[unit] ?? 1)));
}
