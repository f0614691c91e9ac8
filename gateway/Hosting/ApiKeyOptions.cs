namespace FlowMM.Gateway.Hosting;

/// <summary>One key that a tenant's callers show as <c>authorization: Bearer ...</c>. Only its hash is configured.</summary>
public sealed class ApiKeyOptions
{
    /// <summary>The tenant: 1 to 64 of [A-Za-z0-9._-].</summary>
    public string Tenant { get; set; } = "";

    /// <summary>SHA-256 of the key's UTF-8 bytes, 64 hexadecimal digits.</summary>
    public string KeySha256 { get; set; } = "";

    /// <summary>Whether the key opens the admin service. Default false.</summary>
    public bool Admin { get; set; }
}
