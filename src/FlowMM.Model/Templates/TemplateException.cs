namespace FlowMM.Model;

/// <summary>A chat template cannot be read or refuses the messages.</summary>
/// <param name="message">What is wrong.</param>
public sealed class TemplateException(string message) : Exception(message);
