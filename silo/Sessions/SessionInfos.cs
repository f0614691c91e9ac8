using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.Silo.Store;

namespace FlowMM.Silo.Sessions;

/// <summary>What a caller is told of a session.</summary>
internal static class SessionInfos
{
    /// <summary>Describes a session.</summary>
    /// <param name="key">Whose.</param>
    /// <param name="session">As stored.</param>
    /// <param name="bytes">Where its cache is.</param>
    public static SessionInfo Of(SessionKey key, SessionRecord session, CacheBytes bytes) => new()
    {
        SessionId = key.Session,
        CreateTime = session.CreateTime,
        Turns = session.Turns.Count,
        Tokens = session.Tokens,
        Epoch = session.Epoch,
        Spec = session.Spec,
        Model = session.Model,
        Residency = bytes switch { { Device: > 0 } => Residency.Device, { Host: > 0 } => Residency.Host, _ => Residency.None },
        CacheBytes = bytes.Device,
    };
}
