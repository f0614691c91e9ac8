namespace FlowMM.Abstractions;

/// <summary>What any node knows of all.</summary>
[Alias("flowmm.IClusterGrain")]
public interface IClusterGrain : IGrainWithIntegerKey
{
    /// <summary>The newest report of each node that has reported within the last seconds.</summary>
    /// <param name="cancellationToken">Stops waiting.</param>
    [Alias("Loads")]
    Task<IReadOnlyList<NodeLoad>> Loads(CancellationToken cancellationToken);
}
