namespace FlowMM.Abstractions;

/// <summary>One node, by its name. It is activated on that node when its first call carries the node's address as placement hint.</summary>
[Alias("flowmm.INodeGrain")]
public interface INodeGrain : IGrainWithStringKey
{
    /// <summary>Takes the node out of placement and moves every session off it.</summary>
    /// <param name="bound">Longest time; null: as configured.</param>
    /// <param name="cancellationToken">Stops waiting, not the draining.</param>
    /// <returns>Sessions moved, and sessions left behind when the bound passed.</returns>
    /// <exception cref="RefusedException">It runs on another node than its name says; try again.</exception>
    [Alias("Drain")]
    Task<Drained> Drain(TimeSpan? bound, CancellationToken cancellationToken);
}

/// <summary>What emptying a node came to.</summary>
/// <param name="Moved">Sessions that left.</param>
/// <param name="Left">Sessions that are still there.</param>
[GenerateSerializer, Immutable, Alias("flowmm.Drained")]
public sealed record Drained([property: Id(0)] int Moved, [property: Id(1)] int Left);
