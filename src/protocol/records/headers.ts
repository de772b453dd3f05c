/** Request and response headers. Which version goes with which request is in frames.ts. */
import { type DataOf, data, int16, int32, string } from "../schema.ts";

/** clientId keeps its int16 length in the flexible version (KIP-482). */
export const RequestHeader = data({
  name: "RequestHeader",
  declared: "1-2",
  flexible: "2+",
  fields: {
    requestApiKey: int16(),
    requestApiVersion: int16(),
    correlationId: int32(),
    clientId: string().nullable().inflexible(),
  },
});
export type RequestHeader = DataOf<typeof RequestHeader>;

export const ResponseHeader = data({
  name: "ResponseHeader",
  declared: "0-1",
  flexible: "1+",
  fields: {
    correlationId: int32(),
  },
});
export type ResponseHeader = DataOf<typeof ResponseHeader>;
