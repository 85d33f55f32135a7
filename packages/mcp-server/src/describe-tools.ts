import type { JsonObject } from '@opencode-tools/core';
import { inputJsonSchema, outputJsonSchema } from './tool-schema.ts';
import type { ToolAnnotations } from './tool.ts';
import { toolTable } from './tool-table.ts';

/** A tool as clients see it, for documentation and pins. */
export interface ToolDescription {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly annotations: ToolAnnotations;
  readonly inputSchema: JsonObject;
  readonly outputSchema: JsonObject;
}

/** Lists the tools as `tools/list` does. */
export function describeTools(): readonly ToolDescription[] {
  return toolTable.map((tool) => ({
    name: tool.name,
    title: tool.title,
    description: tool.description,
    annotations: tool.annotations,
    inputSchema: inputJsonSchema(tool),
    outputSchema: outputJsonSchema(tool),
  }));
}
