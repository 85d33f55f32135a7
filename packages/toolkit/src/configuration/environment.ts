/** Environment variables, as an app hands them over. */
export type Environment = Readonly<Record<string, string | undefined>>;
