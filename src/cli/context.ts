/** What a command may use of the world around it. */
export interface CliContext {
  /** One line on the standard output: what was asked for, and nothing else. */
  readonly out: (line: string) => void
  /** One line for the person who typed the command. */
  readonly err: (line: string) => void
  /** The exit code of a command that ran to its end; 0 unless told. */
  readonly endWith: (code: number) => void
  readonly env: Readonly<Record<string, string | undefined>>
  /** One line that nobody sees: from the terminal without echo, or the first of the standard input. */
  readonly readSecret: (prompt: string) => Promise<string>
  /** What somebody at the terminal answers; undefined where nobody sits there. */
  readonly ask: (question: string) => Promise<string | undefined>
  /** Milliseconds since the epoch. */
  readonly now: () => number
  readonly signals: {
    /** `last` runs when the process ends, by itself or not; it cannot wait for anything. */
    readonly onExit: (last: () => void) => void
    /** Resolves when the process is asked to stop. */
    readonly stopped: Promise<void>
    /** `reload` is called whenever the process is asked to read its configuration again. */
    readonly onReload: (reload: () => Promise<void>) => void
    /** `restart` is called whenever the process is asked to let new ones take its place. */
    readonly onRestart: (restart: () => Promise<void>) => void
    /** From now on no signal ends this process: another one hears them, and says what is to be done. */
    readonly leaveToOthers: () => void
    /** `report` takes the place of the line on the standard error that an error nobody caught leaves behind. */
    readonly onCrash: (report: (error: unknown) => void) => void
  }
}
