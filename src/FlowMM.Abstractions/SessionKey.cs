using System.Text.RegularExpressions;

namespace FlowMM.Abstractions;

/// <summary>A session's identity: the tenant that owns it and its id. Tenants cannot name each other's sessions.</summary>
/// <param name="Tenant">1 to 64 of [A-Za-z0-9._-].</param>
/// <param name="Session">1 to 128 of [A-Za-z0-9._-].</param>
public sealed partial record SessionKey(string Tenant, string Session)
{
    /// <summary>True when <paramref name="id"/> may name a session or a turn.</summary>
    /// <param name="id">The id.</param>
    public static bool IsValidId(string id) => Id().IsMatch(id);

    /// <summary>Reads what <see cref="ToString"/> wrote.</summary>
    /// <param name="key">The grain's key.</param>
    /// <exception cref="FormatException">It is not such a key.</exception>
    public static SessionKey Parse(string key)
    {
        int slash = key.IndexOf('/', StringComparison.Ordinal);
        return slash > 0 ? new(key[..slash], key[(slash + 1)..]) : throw new FormatException($"'{key}' is no session key.");
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Tenant}/{Session}";

    [GeneratedRegex(@"\A[A-Za-z0-9._-]{1,128}\z")]
    private static partial Regex Id();
}
