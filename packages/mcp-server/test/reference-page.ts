import type { JsonObject } from '@opencode-tools/core';
import type { ToolDescription } from '../src/index.ts';

/** Writes docs/reference/mcp-tools.md from the tool table; `vitest run packages/mcp-server --update=all` renews the file. */
export function referencePage(
  tools: readonly ToolDescription[],
  instructions: string,
  bounded: readonly JsonObject[],
): string {
  const sections = tools.flatMap((tool, index) => section(tool, bounded[index] ?? tool.inputSchema));
  return `${[...introduction(tools, instructions), ...sections].join('\n\n')}\n`;
}

function introduction(tools: readonly ToolDescription[], instructions: string): readonly string[] {
  const bytes = Buffer.byteLength(
    JSON.stringify(tools.map(({ name, description, inputSchema }) => ({ name, description, inputSchema }))),
  );
  return [
    '# MCP tools',
    `The ${tools.length} tools of \`opencode-tools-mcp\`, as clients see them. A model reads ${(bytes / 1_000).toFixed(1)} kB of names, descriptions and arguments.`,
    'Every result has a short text for the model and the same facts as structured content. The failure of a command is a result; a failure of ours is a result marked as an error, whose text holds message and remedy and whose structured content is `{code, family, retryable, message, remedy, details}`.',
    'What a model is told once:',
    `> ${instructions}`,
    table(
      ['tool', 'does', 'read only', 'destructive', 'idempotent', 'open world'],
      tools.map(({ name, description, annotations }) => [
        `[\`${name}\`](#${name})`,
        description,
        ...[
          annotations.readOnlyHint,
          annotations.destructiveHint,
          annotations.idempotentHint,
          annotations.openWorldHint,
        ].map(yes),
      ]),
    ),
  ];
}

function section({ name, description, outputSchema }: ToolDescription, input: JsonObject): readonly string[] {
  return [
    `## ${name}`,
    description,
    table(['argument', 'type', ''], rows(input, required(input), 'required')),
    table(['result', 'type', ''], rows(outputSchema, requiredOfResult(outputSchema), 'always there')),
  ];
}

function rows(schema: JsonObject, needed: readonly string[], mark: string): readonly (readonly string[])[] {
  return Object.entries((schema['properties'] ?? {}) as Readonly<Record<string, JsonObject>>).map(([name, member]) => [
    `\`${name}\``,
    typeName(member),
    [
      needed.includes(name) ? mark : '',
      typeof member['description'] === 'string' ? member['description'] : '',
      range(member),
    ]
      .filter(Boolean)
      .join('; '),
  ]);
}

function typeName(schema: JsonObject): string {
  if (Array.isArray(schema['anyOf'])) return typeName(schema['anyOf'][0] as JsonObject);
  if (Array.isArray(schema['enum']))
    return (schema['enum'] as readonly string[]).map((value) => `\`${value}\``).join(', ');
  if (schema['type'] !== 'array') return typeof schema['type'] === 'string' ? schema['type'] : 'any';
  const items = schema['items'] as JsonObject;
  const members = Object.keys((items['properties'] ?? {}) as JsonObject);
  return members.length > 0 ? `list of {${members.join(', ')}}` : `list of ${typeName(items)}`;
}

function range({ minimum, maximum }: JsonObject): string {
  if (typeof minimum !== 'number' || minimum === Number.MIN_SAFE_INTEGER || (minimum === 0 && maximum === undefined))
    return '';
  return typeof maximum === 'number' && maximum !== Number.MAX_SAFE_INTEGER
    ? `${minimum} to ${maximum}`
    : `${minimum} or more`;
}

function required(schema: JsonObject): readonly string[] {
  return (schema['required'] ?? []) as readonly string[];
}

function requiredOfResult(schema: JsonObject): readonly string[] {
  const [success] = schema['anyOf'] as unknown as readonly JsonObject[];
  return success === undefined ? [] : required(success);
}

function table(heading: readonly string[], body: readonly (readonly string[])[]): string {
  const all = [heading, ...body];
  const widths = heading.map((_, column) => Math.max(3, ...all.map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  return [line(heading), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)].join('\n');
}

function yes(value: boolean): string {
  return value ? 'yes' : '';
}
