using FlowMM.Silo.Store;

namespace FlowMM.UnitTests.Testing;

/// <summary>Turns as they are on record.</summary>
internal static class Turns
{
    public static AcceptedTurn Accepted(string id) =>
        new() { TurnId = id, Digest = "digest", Parts = [], Reset = true, PromptIds = [1], Images = [], Sampling = new(), Merging = new() };
}
