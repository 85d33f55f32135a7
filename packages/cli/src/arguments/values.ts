import { isId, isShortId } from '@opencode-tools/core';
import type { ValueForm } from '../command.ts';
import { quoted, usageError } from './usage-error.ts';

/** Any text. */
export function text(placeholder: string): ValueForm {
  return { placeholder, parse: (value) => value };
}

/** Text that names somebody or something. Empty it comes from a variable that is not set. */
export function named(placeholder: string): ValueForm {
  return {
    placeholder,
    parse: (value, where) => {
      if (value !== '') return value;
      throw usageError(`${where} cannot be ""`, `Give a ${placeholder}, or leave ${where} out.`, { argument: where });
    },
  };
}

/** Text that names a place of the host; an option in its place was forgotten, not meant. */
export function path(placeholder: string): ValueForm {
  return {
    placeholder,
    parse: (value, where) => {
      if (value !== '' && !value.startsWith('-')) return value;
      throw usageError(`${where} cannot be ${quoted(value)}`, `Name a ${placeholder} after ${where}.`, {
        argument: where,
      });
    },
  };
}

export function choice(placeholder: string, choices: readonly string[]): ValueForm {
  return {
    placeholder,
    choices,
    parse: (value, where) => {
      if (choices.includes(value)) return value;
      throw usageError(`${where} cannot be ${quoted(value)}`, `Use one of: ${choices.join(', ')}.`, {
        argument: where,
        choices,
      });
    },
  };
}

export function integer(placeholder: string, min: number, max: number): ValueForm {
  return number(placeholder, /^\d+$/, min, max, 'whole number');
}

/** The version of a row that the caller saw. */
export function expectedVersion(): ValueForm {
  return integer('version', 1, Number.MAX_SAFE_INTEGER);
}

export function decimal(placeholder: string, min: number, max: number): ValueForm {
  return number(placeholder, /^\d+(\.\d+)?$/, min, max, 'number');
}

const durationUnits: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds, from a number with a unit; a bare number is seconds, as with `timeout` of coreutils. */
export function duration(minMs: number, maxMs: number): ValueForm {
  return {
    placeholder: 'duration',
    parse: (value, where) => {
      const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(value);
      const ms = match === null ? Number.NaN : Math.round(Number(match[1]) * (durationUnits[match[2] ?? 's'] ?? 0));
      if (ms >= minMs && ms <= maxMs) return ms;
      throw usageError(
        `${where} cannot be ${quoted(value)}`,
        `Use a number with ms, s, m, h or d, from ${minMs} ms to ${maxMs / 1_000} s, such as 90s or 15m.`,
        { argument: where, minMs, maxMs },
      );
    },
  };
}

const sizeUnits: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

/** Bytes, from a number with an optional binary unit: `512m`, `2g`, `2GiB`. */
export function size(): ValueForm {
  return {
    placeholder: 'size',
    parse: (value, where) => {
      const match = /^(\d+(?:\.\d+)?)([kmgt]?)(?:i?b)?$/i.exec(value);
      if (match !== null) return Math.round(Number(match[1]) * (sizeUnits[(match[2] ?? '').toLowerCase()] ?? 0));
      throw usageError(
        `${where} cannot be ${quoted(value)}`,
        'Use bytes, or a number with k, m, g or t, such as 512m.',
        {
          argument: where,
        },
      );
    },
  };
}

export interface NameValue {
  readonly name: string;
  readonly value: string | undefined;
}

/** `NAME` or `NAME=VALUE`. */
export function nameValue(placeholder: string): ValueForm {
  return {
    placeholder,
    parse: (argument, where): NameValue => {
      const index = argument.indexOf('=');
      const name = index < 0 ? argument : argument.slice(0, index);
      if (name !== '') return { name, value: index < 0 ? undefined : argument.slice(index + 1) };
      throw usageError(`${where} ${quoted(argument)} has no name`, 'Use NAME or NAME=VALUE.', { argument: where });
    },
  };
}

/** A point in time, such as `2026-11-20` or `2026-11-20T08:00:00Z`; given on as a timestamp. */
export function time(): ValueForm {
  return {
    placeholder: 'time',
    parse: (value, where) => {
      const ms = /^\d{4}-\d{2}-\d{2}/.test(value) ? Date.parse(value) : Number.NaN;
      if (!Number.isNaN(ms)) return new Date(ms).toISOString();
      throw usageError(
        `${where} cannot be ${quoted(value)}`,
        'Use a date such as 2026-11-20 or 2026-11-20T08:00:00Z.',
        {
          argument: where,
        },
      );
    },
  };
}

/** Full or short id of something that belongs to the task. */
export function idOf(kind: 'execution' | 'checkpoint' | 'todo' | 'note'): ValueForm {
  return {
    placeholder: kind,
    parse: (value, where) => {
      if (isId(kind, value) || isShortId(value)) return value;
      throw usageError(`${where} is no ${kind} id: ${quoted(value)}`, `Use a full id or its last eight characters.`, {
        argument: where,
      });
    },
  };
}

function number(placeholder: string, form: RegExp, min: number, max: number, noun: string): ValueForm {
  return {
    placeholder,
    parse: (value, where) => {
      const parsed = form.test(value) ? Number(value) : Number.NaN;
      if (parsed >= min && parsed <= max) return parsed;
      throw usageError(`${where} cannot be ${quoted(value)}`, `Use a ${noun} from ${min} to ${max}.`, {
        argument: where,
        min,
        max,
      });
    },
  };
}
