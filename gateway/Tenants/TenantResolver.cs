using System.Security.Cryptography;
using System.Text;
using FlowMM.Abstractions;
using FlowMM.Gateway.Hosting;
using Grpc.Core;
using Microsoft.Extensions.Options;
using ErrorCode = FlowMM.Abstractions.ErrorCode;

namespace FlowMM.Gateway.Tenants;

/// <summary>Tells whose call it is from the key that it shows.</summary>
/// <param name="options">The keys.</param>
internal sealed class TenantResolver(IOptions<GatewayOptions> options)
{
    public const string DefaultTenant = "default";
    private const string Scheme = "Bearer ";

    private readonly (string Tenant, byte[] Hash, bool Admin)[] _keys =
        [.. options.Value.Keys.Select(key => (key.Tenant, Convert.FromHexString(key.KeySha256), key.Admin))];

    /// <summary>The tenant of a call.</summary>
    /// <exception cref="RpcException">UNAUTHENTICATED: keys are configured and the call shows none of them.</exception>
    public string Tenant(Metadata headers) => Find(headers).Tenant;

    /// <summary>Lets only administrators through.</summary>
    /// <exception cref="RpcException">UNAUTHENTICATED, as <see cref="Tenant"/>.</exception>
    /// <exception cref="RefusedException">The key does not open the admin service.</exception>
    public void RequireAdmin(Metadata headers)
    {
        if (!Find(headers).Admin)
        {
            throw new RefusedException(ErrorCode.PermissionDenied, "this key does not open the admin service");
        }
    }

    private (string Tenant, bool Admin) Find(Metadata headers)
    {
        if (_keys.Length == 0)
        {
            return (DefaultTenant, true);
        }

        string? shown = headers.GetValue("authorization");
        if (shown is null || !shown.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase))
        {
            throw new RpcException(new Status(StatusCode.Unauthenticated, "metadata 'authorization: Bearer <key>' is required"));
        }

        byte[] hash = SHA256.HashData(Encoding.UTF8.GetBytes(shown[Scheme.Length..].Trim()));
        (string Tenant, bool Admin)? found = null;

        // Every key is compared, each in constant time, so that the answer's time tells nothing.
        foreach ((string tenant, byte[] expected, bool admin) in _keys)
        {
            if (CryptographicOperations.FixedTimeEquals(hash, expected))
            {
                found = (tenant, admin);
            }
        }

        return found ?? throw new RpcException(new Status(StatusCode.Unauthenticated, "the key is not known"));
    }
}
