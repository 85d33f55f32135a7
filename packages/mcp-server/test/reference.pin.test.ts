import { expect, test } from 'vitest';
import { describeTools } from '../src/index.ts';
import { fullInputJsonSchema } from '../src/tool-schema.ts';
import { serverInstructions, toolTable } from '../src/tool-table.ts';
import { referencePage } from './reference-page.ts';

test('the reference page says what the tools are', async () => {
  const page = referencePage(describeTools(), serverInstructions, toolTable.map(fullInputJsonSchema));
  await expect(page).toMatchFileSnapshot('../../../docs/reference/mcp-tools.md');
});
