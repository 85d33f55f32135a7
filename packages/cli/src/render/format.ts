import { type TaskStatus, printable } from '@opencode-tools/core';
import type { Style } from './style.ts';

const pieceLength = 1_000;

/** Text from outside, whole, without control characters; line breaks are kept. */
export function safeText(text: string): string {
  let clean = '';
  let start = 0;
  while (start < text.length) {
    const cut = start + pieceLength;
    const end = isHighSurrogate(text.charCodeAt(cut - 1)) ? cut + 1 : cut;
    clean += printable(text.slice(start, end));
    start = end;
  }
  return clean;
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

/** Text from outside on one line, cut to a length. */
export function oneLine(text: string, maxLength = 60): string {
  const line = safeText(text.slice(0, 4 * maxLength))
    .replace(/\s+/g, ' ')
    .trim();
  return line.length > maxLength ? `${line.slice(0, maxLength - 1)}…` : line;
}

/** A path on one line, whole; one that would not be seen as it is comes quoted, as a shell takes it: `$'a\nb'`. */
export function shownPath(path: string): string {
  const whole = path.toWellFormed();
  if (!/[\p{Cc}\p{Cf}]|[^\S ]|^ | $| {2}/u.test(whole)) return oneLine(whole, 4_096);
  const quoted = whole
    .replaceAll(/['\\]/g, String.raw`\$&`)
    .replaceAll('\n', String.raw`\n`)
    .replaceAll('\t', String.raw`\t`)
    .replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, escaped);
  return `$'${quoted}'`;
}

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return code > 0xffff
    ? String.raw`\U${code.toString(16).padStart(8, '0')}`
    : String.raw`\u${code.toString(16).padStart(4, '0')}`;
}

/** `2026-11-20 08:15:30Z`. */
export function formatTime(timestamp: string | null): string {
  return timestamp === null ? '-' : `${timestamp.slice(0, 10)} ${timestamp.slice(11, 19)}Z`;
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = bytes < 1 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1);
  const value = bytes / 1024 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[power] ?? 'B'}`;
}

export function formatDuration(ms: number | null): string {
  if (ms === null) return '-';
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 60) return `${minutes} min ${Math.floor((ms % 60_000) / 1_000)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

export function paintStatus(status: TaskStatus, style: Style): (text: string) => string {
  if (status === 'running' || status === 'completed') return style.good;
  if (status === 'failed') return style.bad;
  return status === 'suspended' ? style.warning : style.dim;
}

/** Lines joined, empty ones left out. */
export function lines(...parts: readonly (string | false | null | undefined)[]): string {
  return parts.filter((part) => typeof part === 'string' && part !== '').join('\n');
}
