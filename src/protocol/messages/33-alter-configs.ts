/** AlterConfigs (33): replaces all configs of a resource. IncrementalAlterConfigs took its place (KIP-339). */
import { api, array, bool, int8, int16, int32, type Request, type Response, string } from "../schema.ts";

export const AlterConfigs = api({
  key: 33,
  name: "AlterConfigs",
  declared: "0-2",
  flexible: "2+",
  request: {
    resources: array({
      resourceType: int8(),
      resourceName: string(),
      configs: array({ name: string(), value: string().nullable() }),
    }),
    validateOnly: bool(),
  },
  response: {
    throttleTimeMs: int32().default(0),
    responses: array({ errorCode: int16(), errorMessage: string().nullable(), resourceType: int8(), resourceName: string() }),
  },
});
export type AlterConfigsRequest = Request<typeof AlterConfigs>;
export type AlterConfigsResponse = Response<typeof AlterConfigs>;
