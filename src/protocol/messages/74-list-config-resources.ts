/**
 * ListConfigResources (74): the names of resources that have configs. Version 0 lists client metrics only (KIP-714), 1 all types
 * (KIP-1142).
 */
import { api, array, int8, int16, int32, type Request, type Response, string } from "../schema.ts";

export const ListConfigResources = api({
  key: 74,
  name: "ListConfigResources",
  declared: "0-1",
  flexible: "0+",
  request: { resourceTypes: array(int8(), "1+").default([]) },
  response: {
    throttleTimeMs: int32().default(0),
    errorCode: int16(),
    configResources: array({ resourceName: string(), resourceType: int8("1+").default(16) }),
  },
});
export type ListConfigResourcesRequest = Request<typeof ListConfigResources>;
export type ListConfigResourcesResponse = Response<typeof ListConfigResources>;
