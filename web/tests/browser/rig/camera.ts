// A camera that speaks as much ONVIF as a still picture needs (Core 8.1, Media 5.2), without a login.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const PICTURE = new URL('../../../../hil/assets/test-picture.jpg', import.meta.url);

const SPACES =
  'xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:tds="http://www.onvif.org/ver10/device/wsdl" xmlns:trt="http://www.onvif.org/ver10/media/wsdl" xmlns:tt="http://www.onvif.org/ver10/schema"';

function said(url: string, asked: string): string | null {
  const two = (value: number): string => String(value);
  if (asked.includes('GetSystemDateAndTime')) {
    const now = new Date();
    return `<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>NTP</tt:DateTimeType><tt:DaylightSavings>false</tt:DaylightSavings><tt:UTCDateTime><tt:Time><tt:Hour>${two(now.getUTCHours())}</tt:Hour><tt:Minute>${two(now.getUTCMinutes())}</tt:Minute><tt:Second>${two(now.getUTCSeconds())}</tt:Second></tt:Time><tt:Date><tt:Year>${two(now.getUTCFullYear())}</tt:Year><tt:Month>${two(now.getUTCMonth() + 1)}</tt:Month><tt:Day>${two(now.getUTCDate())}</tt:Day></tt:Date></tt:UTCDateTime></tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>`;
  }
  if (asked.includes('GetDeviceInformation')) {
    return '<tds:GetDeviceInformationResponse><tds:Manufacturer>double</tds:Manufacturer><tds:Model>double</tds:Model><tds:FirmwareVersion>1</tds:FirmwareVersion><tds:SerialNumber>1</tds:SerialNumber><tds:HardwareId>1</tds:HardwareId></tds:GetDeviceInformationResponse>';
  }
  if (asked.includes('GetServices')) {
    return `<tds:GetServicesResponse><tds:Service><tds:Namespace>http://www.onvif.org/ver10/media/wsdl</tds:Namespace><tds:XAddr>${url}/onvif/media</tds:XAddr><tds:Version><tt:Major>2</tt:Major><tt:Minor>60</tt:Minor></tds:Version></tds:Service></tds:GetServicesResponse>`;
  }
  if (asked.includes('GetCapabilities')) {
    return `<tds:GetCapabilitiesResponse><tds:Capabilities><tt:Media><tt:XAddr>${url}/onvif/media</tt:XAddr></tt:Media></tds:Capabilities></tds:GetCapabilitiesResponse>`;
  }
  if (asked.includes('GetProfiles')) return '<trt:GetProfilesResponse><trt:Profiles token="main" fixed="true"><tt:Name>main</tt:Name></trt:Profiles></trt:GetProfilesResponse>';
  if (asked.includes('GetSnapshotUri')) return `<trt:GetSnapshotUriResponse><trt:MediaUri><tt:Uri>${url}/still.jpg</tt:Uri></trt:MediaUri></trt:GetSnapshotUriResponse>`;
  return null;
}

export interface Camera {
  url: string;
  stop: () => void;
}

export async function camera(): Promise<Camera> {
  const picture = readFileSync(PICTURE);
  let url = '';
  const server = createServer((request, response) => {
    let asked = '';
    request.on('data', (piece: Buffer) => (asked += piece.toString()));
    request.on('end', () => {
      if (request.url === '/still.jpg') {
        response.setHeader('Content-Type', 'image/jpeg');
        return response.end(picture);
      }
      const answer = said(url, asked);
      response.statusCode = answer ? 200 : 400;
      response.setHeader('Content-Type', 'application/soap+xml');
      const fault = '<s:Fault><s:Code><s:Value>s:Sender</s:Value></s:Code><s:Reason><s:Text xml:lang="en">not done here</s:Text></s:Reason></s:Fault>';
      return response.end(`<?xml version="1.0"?><s:Envelope ${SPACES}><s:Body>${answer ?? fault}</s:Body></s:Envelope>`);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: `${url}/onvif/device_service`,
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
