/** What whoever asked should know beside the answer, a line each. */
export function noticeLines(notices: readonly string[] = []): readonly string[] {
  return notices.map((notice) => `Notice: ${notice}`);
}
