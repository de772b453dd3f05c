/** IncrementalAlterConfigs (44): sets, deletes, appends to and subtracts from single configs (KIP-339). */
import { api, array, bool, int8, int16, int32, type Request, type Response, string } from "../schema.ts";

export const IncrementalAlterConfigs = api({
  key: 44,
  name: "IncrementalAlterConfigs",
  declared: "0-1",
  flexible: "1+",
  request: {
    resources: array({
      resourceType: int8(),
      resourceName: string(),
      configs: array({ name: string(), configOperation: int8(), value: string().nullable() }),
    }),
    validateOnly: bool(),
  },
  response: {
    throttleTimeMs: int32().default(0),
    responses: array({ errorCode: int16(), errorMessage: string().nullable(), resourceType: int8(), resourceName: string() }),
  },
});
export type IncrementalAlterConfigsRequest = Request<typeof IncrementalAlterConfigs>;
export type IncrementalAlterConfigsResponse = Response<typeof IncrementalAlterConfigs>;
