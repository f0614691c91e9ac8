namespace FlowMM.Model;

/// <summary>A checkpoint cannot be loaded; the text names the file, and the tensor or key.</summary>
/// <param name="file">The file, as given.</param>
/// <param name="problem">What is wrong with it.</param>
/// <param name="inner">What was thrown below, if anything.</param>
public sealed class CheckpointException(string file, string problem, Exception? inner = null) : Exception($"{file}: {problem}", inner)
{
    /// <summary>The file.</summary>
    public string File { get; } = file;
}
