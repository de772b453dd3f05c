/** A request that is refused: thrown and caught within one step of the machine, whose records then count for nothing. */
export class ConsumerError extends Error {
  readonly errorCode: number;

  /** The message goes to the client: Kafka's words. */
  constructor(errorCode: number, message: string) {
    super(message);
    this.errorCode = errorCode;
  }
}
