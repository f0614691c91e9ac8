using System.Net;
using FlowMM.Abstractions;
using Microsoft.Extensions.Options;

namespace FlowMM.Gateway.Hosting;

/// <summary>Checks what annotations cannot say. Names the key, never its value where that is a secret.</summary>
internal sealed class GatewayOptionsValidator : IValidateOptions<GatewayOptions>
{
    private const int TenantLength = 64;

    public ValidateOptionsResult Validate(string? name, GatewayOptions options)
    {
        List<string> wrong = [];
        if (!IPAddress.TryParse(options.Address, out _))
        {
            wrong.Add($"{GatewayOptions.Section}:Address '{options.Address}' is no IP address.");
        }

        if (options.GrpcPort != 0 && options.GrpcPort == options.HttpPort)
        {
            wrong.Add($"{GatewayOptions.Section}:GrpcPort and HttpPort are both {options.GrpcPort}; they must differ.");
        }

        for (int i = 0; i < options.Keys.Count; i++)
        {
            ApiKeyOptions key = options.Keys[i];
            if (!SessionKey.IsValidId(key.Tenant) || key.Tenant.Length > TenantLength)
            {
                wrong.Add($"{GatewayOptions.Section}:Keys:{i}:Tenant must be 1 to {TenantLength} of [A-Za-z0-9._-].");
            }

            if (key.KeySha256.Length != 64 || !key.KeySha256.All(char.IsAsciiHexDigit))
            {
                wrong.Add($"{GatewayOptions.Section}:Keys:{i}:KeySha256 must be 64 hexadecimal digits.");
            }
        }

        return wrong.Count == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(wrong);
    }
}
