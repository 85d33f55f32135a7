import { describe, expect, it } from 'vitest';
import { editText } from './edit-text.ts';

const edit = (text: string, ...edits: Parameters<typeof editText>[1]) => editText(Buffer.from(text), edits);

describe('editing text', () => {
  it('replaces what occurs exactly as often as said', () => {
    expect(edit('a b a', { oldText: 'b', newText: '$&' }).bytes.toString()).toBe('a $& a');
    expect(edit('a b a', { oldText: 'a', newText: 'c', count: 2 })).toMatchObject({ replaced: 2 });
    expect(edit('a b a', { oldText: 'a', newText: '', count: 'all' }).bytes.toString()).toBe(' b ');
    expect(edit('one', { oldText: 'one', newText: 'two' }, { oldText: 'two', newText: 'three' }).bytes.toString()).toBe(
      'three',
    );
  });

  it.each([
    ['a b a', { oldText: 'a', newText: '' }, 'occurs 2 times in the file, not once'],
    ['a b a', { oldText: 'a', newText: '', count: 3 }, 'occurs 2 times in the file, not 3 times'],
    ['a', { oldText: 'b', newText: '', count: 'all' as const }, 'does not occur in the file, not at least once'],
    ['a', { oldText: '', newText: 'b' }, 'is empty'],
  ])('refuses %j with %j', (text, change, message) => {
    expect(() => edit(text, change)).toThrow(message);
  });

  it('says why a text may not be found', () => {
    const remedyOf = (text: string, oldText: string): unknown => {
      try {
        return edit(text, { oldText, newText: '' });
      } catch (error) {
        return (error as { remedy: string }).remedy;
      }
    };
    expect(remedyOf('a\r\nb\r\n', 'a\nb')).toContain('\\r\\n');
    expect(remedyOf('a\nb\n', 'a\r\nb')).toContain('\\n');
    expect(remedyOf('if (x) {\n\treturn;\n}', 'if (x) {\n  return;')).toContain('Only white space differs');
  });

  it('leaves every byte that it does not replace', () => {
    const bytes = Buffer.concat([Buffer.from([0xff, 0, 0xc3]), Buffer.from('ü'), Buffer.from([0x80])]);
    const { bytes: edited } = editText(bytes, [{ oldText: 'ü', newText: 'ö' }]);
    expect(edited).toEqual(Buffer.concat([Buffer.from([0xff, 0, 0xc3]), Buffer.from('ö'), Buffer.from([0x80])]));
  });
});
