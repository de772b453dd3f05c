/** What runs beside a torture until it is told to stop, whatever happens to the broker. */
export abstract class Background {
  /** The first thing that no broker may say. */
  fault: Error | null = null;
  protected isStopping = false;
  #done: Promise<void> | null = null;

  /** Resolves soon once `isStopping`. Rejects with what becomes the fault. */
  protected abstract run(): Promise<void>;

  start(): void {
    this.#done = this.run().catch((error) => {
      this.fault = error as Error;
    });
  }

  /** Ends it and waits for what is due. Throws the fault. */
  async stop(): Promise<void> {
    this.isStopping = true;
    await this.#done;
    if (this.fault) throw this.fault;
  }
}
