import { expect, test } from 'vitest';
import { configurationSchema } from '../src/configuration/json-schema.ts';

test('the published JSON Schema is the one that the table of keys gives', async () => {
  const text = `${JSON.stringify(configurationSchema(), null, 2)}\n`;
  await expect(text).toMatchFileSnapshot('../opencode-tools.schema.json');
});
