/** Thrown by a hook to veto a change. Carries the legal way to get what was asked for. */
export class HookRejection extends Error {
  override readonly name = 'HookRejection';
  readonly remedy: string;

  /**
   * @param message the rule that is broken, with the offending value
   * @param remedy what the caller can do instead
   */
  constructor(message: string, remedy: string) {
    super(message);
    this.remedy = remedy;
  }
}

/** Tells whether a value is a veto, also across copies of this package. */
export function isHookRejection(value: unknown): value is HookRejection {
  return value instanceof Error && value.name === 'HookRejection' && 'remedy' in value;
}
