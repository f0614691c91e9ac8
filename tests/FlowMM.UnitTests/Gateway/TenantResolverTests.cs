using System.Security.Cryptography;
using System.Text;
using FlowMM.Abstractions;
using FlowMM.Gateway.Hosting;
using FlowMM.Gateway.Tenants;
using Grpc.Core;
using Microsoft.Extensions.Options;
using Xunit;

namespace FlowMM.UnitTests.Gateway;

public sealed class TenantResolverTests
{
    private static readonly TenantResolver Guarded = new(Options.Create(new GatewayOptions
    {
        Keys = [new() { Tenant = "one", KeySha256 = Hash("k1") }, new() { Tenant = "two", KeySha256 = Hash("k2").ToUpperInvariant(), Admin = true }],
    }));

    [Fact]
    public void Tenant_NoKeysConfigured_IsDefaultAndAdministers()
    {
        TenantResolver open = new(Options.Create(new GatewayOptions()));

        Assert.Equal("default", open.Tenant([]));
        open.RequireAdmin([]);
    }

    [Theory]
    [InlineData("Bearer k1", "one")]
    [InlineData("bearer k2 ", "two")]
    public void Tenant_KnownKey_NamesOwner(string shown, string tenant) => Assert.Equal(tenant, Guarded.Tenant(Headers(shown)));

    [Theory]
    [InlineData(null)]
    [InlineData("k1")]
    [InlineData("Basic k1")]
    [InlineData("Bearer ")]
    [InlineData("Bearer k3")]
    public void Tenant_UnknownKey_IsUnauthenticated(string? shown) =>
        Assert.Equal(StatusCode.Unauthenticated, Assert.Throws<RpcException>(() => Guarded.Tenant(Headers(shown))).StatusCode);

    [Fact]
    public void RequireAdmin_OrdinaryKey_IsDenied()
    {
        Assert.Equal(ErrorCode.PermissionDenied, Assert.Throws<RefusedException>(() => Guarded.RequireAdmin(Headers("Bearer k1"))).Code);
        Guarded.RequireAdmin(Headers("Bearer k2"));
    }

    private static Metadata Headers(string? shown) => shown is null ? [] : new Metadata { { "authorization", shown } };

    private static string Hash(string key) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(key)));
}
