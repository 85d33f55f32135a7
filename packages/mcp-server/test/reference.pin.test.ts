import { expect, test } from 'vitest';
import { describeTools } from '../src/index.ts';
import { serverInstructions } from '../src/tool-table.ts';
import { referencePage } from './reference-page.ts';

test('the reference page says what the tools are', async () => {
  const page = referencePage(describeTools(), serverInstructions);
  await expect(page).toMatchFileSnapshot('../../../docs/reference/mcp-tools.md');
});
